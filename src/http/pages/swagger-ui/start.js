// Nothing is fetched from elsewhere: no validator, no fonts.
SwaggerUIBundle({ url: "openapi.json", dom_id: "#swagger-ui", deepLinking: true, validatorUrl: null });
