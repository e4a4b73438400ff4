// The farm's own pages in Buildbot's menu, each in a frame. Buildbot loads this file as its plugin `kmodci`.
"use strict";
window.BuildbotPluginSupport.buildbotSetupPlugin(function (registry, config) {
  const element = window.React.createElement;
  for (const entry of config.plugins.kmodci) {
    const route = "/" + entry.name;
    registry.registerMenuGroup({
      name: entry.name,
      caption: entry.caption,
      icon: element("span", {"aria-hidden": true}, "\u2630"),
      order: entry.order,
      route: route,
      parentName: null,
    });
    registry.registerRoute({
      route: route,
      group: entry.name,
      element: function () {
        return element("iframe", {src: entry.page, title: entry.caption, className: "kmodci-page"});
      },
    });
  }
});
