"""The HTTP API for people and programs: one table of routes answers requests and is the OpenAPI document."""
