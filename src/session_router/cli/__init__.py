"""The command `session-router`. Nothing is loaded with this module: until `run` is called, nobody sees to an interrupt."""


def run() -> None:
    """Be the whole process: the script's entry point."""
    try:
        from session_router.cli.process import be_the_process
    except KeyboardInterrupt:
        from session_router.cli.exit_codes import INTERRUPTED

        raise SystemExit(INTERRUPTED) from None
    be_the_process()
