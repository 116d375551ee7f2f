# What Xandria writes in English. No name, no need, no service, no reason: only that something waits.

provider_request =
    Hello,

    a person who agreed to be put in touch with your service is waiting for your answer.

    Please answer here:
    { $link }

    Please answer by { $answer_due }. The link is for you alone and stops working afterwards. Please do not forward it.
    .subject = A request is waiting for your answer

provider_reminder =
    Hello,

    a request we sent you still waits for your answer.

    Please answer here:
    { $link }

    Please answer by { $answer_due }.
    .subject = Reminder: a request is waiting for your answer

purge_request =
    Hello,

    please delete what you received for a request that has ended, and confirm it here:
    { $link }

    Please confirm by { $due }.
    .subject = Please delete a request and confirm it

staff_alert =
    A task needs somebody now: { $task }

    Please acknowledge it by { $due }.
    .subject = Please act now

staff_task =
    A task waits for you: { $task }

    It is due by { $due }.
    .subject = A task waits for you

survivor_notice =
    Hello, there is an update for you. You can get in touch whenever it suits you.
    .subject = An update for you

survivor_notice_code_word =
    { $code_word }
    .subject = Hello

opt_out_reply =
    You will receive no more messages.
    .subject = Done
