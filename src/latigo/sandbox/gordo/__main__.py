"""Run `latigo.sandbox.gordo.program`."""

from latigo.sandbox.gordo.program import main

if __name__ == "__main__":
    main()
