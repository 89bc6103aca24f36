"""What touches the operating system: folders, the event loop, stop flags, telemetry."""
