"""What the project's pages are made of: charts, pictures and a style sheet, all inside of one HTML file."""
