"""The command line and the places where the stages are put together."""
