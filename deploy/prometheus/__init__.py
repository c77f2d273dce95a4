"""What Prometheus is told: where our pages are, when to call somebody, and every number that there is."""
