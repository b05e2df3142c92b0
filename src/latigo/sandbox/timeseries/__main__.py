"""Run `latigo.sandbox.timeseries.program`."""

from latigo.sandbox.timeseries.program import main

if __name__ == "__main__":
    main()
