"""The composition root: the core, its views and routes, and what signs provider links."""

from kintsugi.application import Application

from kintsugi_referral.api import router as staff
from kintsugi_referral.handlers import service
from kintsugi_referral.links import links
from kintsugi_referral.provider import router as providers
from kintsugi_referral.views import views

application = Application(
    service=service,
    views=views,
    routers=(staff, providers),
    resources=links,
    retired={"referral_0001": ("referral_options", "referrals")},
)
