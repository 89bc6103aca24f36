"""What each command does, a file a command: imported when it is called."""
