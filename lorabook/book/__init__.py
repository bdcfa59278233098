"""What makes the library a book: the command line, chapters, ledger, explorers, figures and the classroom."""
