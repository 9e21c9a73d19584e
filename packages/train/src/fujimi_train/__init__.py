"""Vision transformers, the training loop, fine-tuning and the capture of jobs."""
