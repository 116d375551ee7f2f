# Ce que Xandria écrit en français. Ni nom, ni besoin, ni service, ni raison : seulement que quelque chose attend.

provider_request =
    Bonjour,

    une personne qui a accepté d'être mise en relation avec votre service attend votre réponse.

    Veuillez répondre ici :
    { $link }

    Veuillez répondre avant le { $answer_due }. Ce lien vous est réservé et cesse ensuite de fonctionner. Merci de ne pas le transférer.
    .subject = Une demande attend votre réponse

provider_reminder =
    Bonjour,

    une demande que nous vous avons envoyée attend toujours votre réponse.

    Veuillez répondre ici :
    { $link }

    Veuillez répondre avant le { $answer_due }.
    .subject = Rappel : une demande attend votre réponse

purge_request =
    Bonjour,

    veuillez supprimer ce que vous avez reçu pour une demande qui a pris fin, et le confirmer ici :
    { $link }

    Veuillez confirmer avant le { $due }.
    .subject = Veuillez supprimer une demande et le confirmer

staff_alert =
    Une tâche demande quelqu'un maintenant : { $task }

    Veuillez en accuser réception avant le { $due }.
    .subject = Merci d'agir maintenant

staff_task =
    Une tâche vous attend : { $task }

    Elle est à faire avant le { $due }.
    .subject = Une tâche vous attend

survivor_notice =
    Bonjour, il y a du nouveau pour vous. Vous pouvez nous joindre quand cela vous convient.
    .subject = Du nouveau pour vous

survivor_notice_code_word =
    { $code_word }
    .subject = Bonjour

opt_out_reply =
    Vous ne recevrez plus de messages.
    .subject = C'est fait
