/** The REST API, drawn by Swagger UI from this service's own /openapi.json. No validator: it is another host's. */

window.addEventListener("DOMContentLoaded", () => {
  /** @type {any} */ (window).SwaggerUIBundle({
    url: "/openapi.json",
    domNode: document.getElementById("reference"),
    deepLinking: true,
    defaultModelsExpandDepth: 0,
    validatorUrl: null,
  });
});
