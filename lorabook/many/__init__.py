"""Many adapters: in one batch, over tasks, over clients."""
