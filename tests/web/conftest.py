"""Fixtures for the tests of the desk's API."""

from cheap_passwords import cheap_passwords as cheap_passwords
