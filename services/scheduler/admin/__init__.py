"""What operators may see and do: workers, cordons, what waits. Nothing here is on a request's way."""
