async def measured(postgres, kafka, events):
    return {"events_per_second": 0}
