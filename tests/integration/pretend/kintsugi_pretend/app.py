"""All the office needs of a service's wiring: what its database is prepared for."""

from types import SimpleNamespace

from kintsugi.views import Views
from sqlalchemy import MetaData

application = SimpleNamespace(migrations=None, retired={}, views=Views(MetaData(), lambda _subject, _state: {}))
