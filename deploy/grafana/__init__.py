"""What Grafana shows: the dashboards, written down briefly in `boards` and rendered as the files that it reads."""
