"""The leaf package: values that cross stages, configuration, clock and metrics."""
