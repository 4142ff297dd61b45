"""A fleet of helmets that were never built: physics, sensor, device and network, seeded and repeatable."""
