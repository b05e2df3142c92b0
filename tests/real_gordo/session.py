"""A session for gordo-client, which posts once more where Gordo has closed a connection that was idle for 2 s."""

import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry


def open_session():
    session = requests.Session()
    session.mount("http://", HTTPAdapter(max_retries=Retry(1, allowed_methods=None)))  # None: all of them, also POST
    return session
