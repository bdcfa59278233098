"""The book's pictures: functions from measured numbers to matplotlib figures, one file for each chapter."""
