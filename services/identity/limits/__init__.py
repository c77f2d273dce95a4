"""Divides what holders of limits may use among gateways, so that the sum never exceeds a limit."""
