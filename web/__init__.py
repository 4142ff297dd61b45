"""The desk: REST, live feed, sign-in and the page."""
