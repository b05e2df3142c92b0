"""The scheduler: compares desired with actual coverage, and puts the difference into the task queue."""
