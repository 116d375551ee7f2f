"""The composition root: the core, its views and routes, partners' keys and contracts, and the way to their streams."""

from __future__ import annotations

from collections.abc import Mapping

from kintsugi.application import Application
from kintsugi.channels import Channel
from kintsugi.settings import Settings
from kintsugi.streams import StreamChannel

from kintsugi_share.api import router
from kintsugi_share.handlers import service
from kintsugi_share.owed import CHANNEL
from kintsugi_share.partners import partners
from kintsugi_share.shareable import extended
from kintsugi_share.views import views


def channels(settings: Settings) -> Mapping[str, Channel]:
    """One way out: topics of partners' own, as this service's user of Kafka."""
    return {CHANNEL: StreamChannel(settings.cluster(), f"{settings.country}.{service.name}")}


application = Application(
    service=service,
    views=views,
    routers=(router,),
    resources=partners,
    channels=channels,
    retired={"share_0001": ("disclosures", "partner_purges", "share_cases")},
    extended=extended,
)
