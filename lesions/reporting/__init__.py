"""What people read: plots, tables, pages."""
