"""The command line: flags, configuration file and environment onto the core."""


def main() -> None:
    """Run the command line."""
