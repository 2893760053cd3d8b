"""What each training step is given, whatever the framework."""
