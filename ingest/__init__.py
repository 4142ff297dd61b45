"""Bytes in, durable detections and telemetry out."""
