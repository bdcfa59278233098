"""What LoRA is compared with."""
