"""`python -m hush` is `hush`."""

from hush.cli import main

if __name__ == "__main__":
    main()
