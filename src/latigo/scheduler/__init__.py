"""The scheduler: compares what should be predicted with what is, and puts the difference into the queue."""
