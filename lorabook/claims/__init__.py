"""What is proven, and what is shown false: the engine here, and a folder for each variant or topic."""
