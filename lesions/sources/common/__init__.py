"""What sources share: downloads, HTTP, tables; change it and download reruns."""
