"""`make chaos`: everything is killed at random moments, and what that costs."""
