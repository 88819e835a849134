"""`python -m unhiss` is `unhiss`."""

from unhiss.cli import main

if __name__ == "__main__":
    main()
