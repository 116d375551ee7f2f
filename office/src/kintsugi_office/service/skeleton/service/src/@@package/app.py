"""The service, wired: the value that the entry point names."""

from __future__ import annotations

from kintsugi.application import Application

from @@package.api import router
from @@package.handlers import service
from @@package.state import CaseFile
from @@package.views import views

application: Application[CaseFile] = Application(service=service, views=views, routers=(router,))
