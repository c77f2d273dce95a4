"""All SQL of the registry: functions on an open connection, one module per thing stored."""
