from django.contrib import admin
from django.http import HttpResponse
from django.urls import path
from django.views.decorators.http import require_GET
from notes.models import Note


@require_GET
def page(request):
    return HttpResponse("<h1>Notes</h1>" + "".join(f"<p>{note.pk}</p>" for note in Note.objects.all()))


urlpatterns = [path("", page), path("admin/", admin.site.urls)]
