"""Runs a command with libpq's variables of a URL: an argument could be read by everybody."""
import os
import sys
from urllib.parse import unquote, urlsplit

url = urlsplit(sys.argv[1])
os.environ.update(
    PGHOST=url.hostname, PGPORT=str(url.port or 5432), PGUSER=unquote(url.username), PGPASSWORD=unquote(url.password or "")
)
os.execvp(sys.argv[2], sys.argv[2:])
