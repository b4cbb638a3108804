"""What is under deploy/: the chart, the units, the site of the proxy."""
