"""What the official client of the Timeseries API does with a server; runs in an environment of its own.

    python exercise.py BASE_URL < commands.json

Reads a list of calls, ``[method, positional arguments, keyword arguments]``, from standard input, and writes the list
of their results: ``{"answer": ...}``, or ``{"error": name, "status": code, "message": text}``. A text that begins with
``@`` in the arguments stands for the id in the answer of the call of that number, counted from 0.
"""

import json
import sys

from azure.core.credentials import AccessToken
from omnia_timeseries import TimeseriesAPI, TimeseriesEnvironment, helpers
from omnia_timeseries.api import FederationSource
from omnia_timeseries.models import TimeseriesRequestFailedException


class Anybody:
    """A credential that has a token for everything."""

    def get_token(self, *_, **__):
        return AccessToken("a-token", 2_000_000_000)


def answered(results, number):
    return results[number]["answer"]["data"]["items"][0]["id"]


def resolved(value, results):
    if isinstance(value, str) and value.startswith("@"):
        return answered(results, int(value[1:]))
    if isinstance(value, list):
        return [resolved(item, results) for item in value]
    if isinstance(value, dict):
        return {key: resolved(item, results) for key, item in value.items()}
    return value


def main():
    api = TimeseriesAPI(Anybody(), TimeseriesEnvironment.Test())
    api._base_url = sys.argv[1]  # there is no other way to another server
    helpers.time.sleep = lambda _: None
    results = []
    for method, arguments, given in json.load(sys.stdin):
        try:
            options = resolved(given, results)
            if "federationSource" in options:
                options["federationSource"] = FederationSource[options["federationSource"]]
            answer = getattr(api, method)(*resolved(arguments, results), **options)
            results.append({"answer": answer})
        except TimeseriesRequestFailedException as error:
            results.append({"error": type(error).__name__, "status": error.status_code, "message": error.message})
    json.dump(results, sys.stdout)


if __name__ == "__main__":
    main()
