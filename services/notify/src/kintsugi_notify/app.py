"""Notify, wired: the composition root that the runtime finds by entry point."""

from __future__ import annotations

from kintsugi.application import Application

from kintsugi_notify.api import router
from kintsugi_notify.channels import channels
from kintsugi_notify.handlers import service
from kintsugi_notify.state import CaseFile
from kintsugi_notify.views import views

application: Application[CaseFile] = Application(
    service=service,
    views=views,
    routers=(router,),
    channels=channels,
    retired=dict.fromkeys(("notify_0001", "notify_0002"), ("notifications", "staff_tasks")),
)
