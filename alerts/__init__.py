"""From detection to a person: the alert book and the life of an alert."""
