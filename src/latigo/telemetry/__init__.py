"""What Latigo reports about itself: metrics and log events."""
