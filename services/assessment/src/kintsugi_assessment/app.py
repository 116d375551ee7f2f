"""Assessment, wired: the composition root that the runtime finds by entry point."""

from __future__ import annotations

from kintsugi.application import Application

from kintsugi_assessment.api import router
from kintsugi_assessment.handlers import service
from kintsugi_assessment.state import AssessmentFile
from kintsugi_assessment.views import views

application: Application[AssessmentFile] = Application(
    service=service,
    views=views,
    routers=(router,),
    retired={"assessment_0001": ("assessment_needs", "assessments", "cases", "incomplete_domains")},
)
